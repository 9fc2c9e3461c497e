// Files as rows, as the page reads them: the formats of the command line.

import assert from "node:assert/strict";
import { test } from "node:test";
import { formatOf, rows } from "../demo/rows.js";

/** Reads `text` in pieces of `size` bytes. */
async function read(text, format, size) {
  const bytes = Buffer.from(text);
  const stream = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.subarray(at, at + size));
      controller.close();
    },
  });
  const found = [];
  for await (const piece of rows(stream, format)) found.push(...piece.rows);
  return found;
}

const CASES = [
  ["tsv", "a\tone\nb\\tc\tta\\\\b\r\nno\tend", [["a", "one"], ["b\tc", "ta\\b"], ["no", "end"]]],
  ["csv", 'key,value\na,"1, ""one"""\r\n"two\nlines",é\n', [["a", '1, "one"'], ["two\nlines", "é"]]],
  ["csv", "id,name,age\n7,Ada,36\n", [["7", '{"name":"Ada","age":"36"}']]],
  ["jsonl", '{"key":"a","value":"😀"}\n\n{"key":"b","value":""}\n', [["a", "😀"], ["b", ""]]],
];

test("rows are the same in whatever pieces a file comes", async () => {
  for (const [format, text, expected] of CASES) {
    for (const size of [1, 2, 3, 7, 1000]) assert.deepEqual(await read(text, format, size), expected, `${format} by ${size}`);
  }
});

test("a malformed line is named by its number", async () => {
  await assert.rejects(read("a\tb\nno tab here\n", "tsv", 100), /line 2/);
  await assert.rejects(read('{"key":"a","value":"b"}\n{"key":1}\n', "jsonl", 100), /line 2/);
  await assert.rejects(read('key,value\na,"b\n', "csv", 100), /within quotes/);
  await assert.rejects(read("a\tb\\q\n", "tsv", 100), /escape/);
});

test("a file's name tells its format", () => {
  assert.deepEqual(["a.CSV", "b.jsonl", "c.ndjson", "d.tsv", "e"].map(formatOf), ["csv", "jsonl", "jsonl", "tsv", "tsv"]);
});
