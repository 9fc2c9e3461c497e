// Archives out of the browser and into it, a check of every byte, and the end of the store.

import { ask, bytes, notice, noticeOfError, number, duration } from "./notices.js";

const element = (id) => document.getElementById(id);

export function carry(db, browser) {
  const when = (id, what, action) => element(id).addEventListener("click", async () => {
    const button = element(id);
    button.disabled = true;
    try {
      await action();
    } catch (error) {
      noticeOfError(what, error);
    } finally {
      button.disabled = false;
    }
  });

  when("export", "The export failed", async () => {
    const archive = await db.exportArchive();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(archive);
    link.download = `${db.name}.tar`;
    link.click();
    // The download has begun by then, and keeps the bytes.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    notice("good", "Exported", `${link.download} has ${bytes(archive.size)}. Natively: mkdir ${db.name} && tar -xf ${link.download} -C ${db.name} && esker --dir ${db.name} scan`);
  });

  when("import-archive", "", async () => element("archive").click());
  element("archive").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file || !(await ask(`Replace all rows by those of ${file.name}?`, "Replace"))) return;
    try {
      await db.importArchive(file);
      notice("good", "Imported", `The store is what ${file.name} holds.`);
      await browser.refresh();
    } catch (error) {
      noticeOfError(`${file.name} was not imported`, error);
    }
  });

  when("verify", "The store cannot be verified", async () => {
    const began = performance.now();
    const found = await db.verify();
    const read = `${number(found.files)} files, ${bytes(found.bytes)} and ${number(found.entries)} entries in tables were read in ${duration(performance.now() - began)}`;
    if (found.problems.length) notice("error", "Problems were found", `${read}.`, found.problems);
    else notice("good", "All is well", `${read}; every checksum, order and reference is right.`);
  });

  when("destroy", "The store was not destroyed", async () => {
    if (!(await ask("Remove the store with all its rows, in all tabs? This cannot be undone.", "Destroy it"))) return;
    await db.destroy();
    location.reload();
  });
}
