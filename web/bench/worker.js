// Measures stores where they work best: in a dedicated worker.

import { measure } from "./measure.js";
import { SUBJECTS } from "./subjects.js";

self.onmessage = async ({ data: { name, seconds } }) => {
  try {
    const store = SUBJECTS.find((subject) => subject.name === name).make();
    const results = await measure(store, seconds, (workload) => self.postMessage({ workload }));
    self.postMessage({ results });
  } catch (error) {
    self.postMessage({ error: String(error.stack ?? error) });
  }
};
