// A list of things to do, in a store of `wasi:keyvalue`, by that interface alone.
//
// `add TEXT` adds one, `done NUMBER` removes one, and each call prints what is left. The numbers come from `increment`,
// so that none is given twice; they are the keys, and `list-keys` promises no order, so they are sorted here.

import { getArguments } from "wasi:cli/environment@0.2.12";
import { increment } from "wasi:keyvalue/atomics@0.2.0-draft2";
import { getMany } from "wasi:keyvalue/batch@0.2.0-draft2";
import { open } from "wasi:keyvalue/store@0.2.0-draft2";

const NEXT = "next";

/** The interface `wasi:cli/run`, which makes this component a command. */
export const run = {
  run() {
    const [, command, argument] = getArguments();
    const bucket = open("default");
    if (command === "add") {
      const number = increment(bucket, NEXT, 1n);
      bucket.set(`todo/${number}`, new TextEncoder().encode(argument));
    } else if (command === "done") {
      bucket.delete(`todo/${argument}`);
    }
    for (const [number, text] of todos(bucket)) {
      console.log(`${number}. ${text}`);
    }
  },
};

/** The things to do with their numbers, in the order of these. */
function todos(bucket) {
  const keys = [];
  let cursor;
  do {
    const page = bucket.listKeys(cursor);
    keys.push(...page.keys.filter((key) => key.startsWith("todo/")));
    cursor = page.cursor;
  } while (cursor !== undefined);
  const entries = getMany(bucket, keys).filter(([, value]) => value !== undefined);
  return entries
    .map(([key, value]) => [Number(key.slice("todo/".length)), new TextDecoder().decode(value)])
    .sort(([one], [other]) => one - other);
}
