// What the worker and the direct store have in common: the lock's name, the pace of maintenance, and archives as Blobs.

import { EskerError } from "./errors.js";

/** The Web Lock of whoever has the store's files. */
export const lockName = (name) => `esker:${name}`;

/** About how many bytes a slice of maintenance moves: a few milliseconds. */
export const SLICE_BYTES = 128 << 10;
/** Deferred writes are looked after so long after the last call. */
export const DEFERRAL_MILLIS = 120;
/** After so long without a call the store is at rest. */
export const REST_MILLIS = 1000;

/** Pieces of an archive are put together to parts of this size, which the browser may keep on disk. */
const PART_BYTES = 8 << 20;
/** An archive is read in pieces of this size. */
const PIECE_BYTES = 1 << 20;

/** Lets other tasks run. */
export const turn = () => new Promise((resolve) => setTimeout(resolve));

/** The store's state of this moment as a Blob with a tar file. `between` runs between pieces. */
export async function writeArchive(store, between = turn) {
  try {
    const files = store.export();
    const parts = [];
    let pieces = [];
    let bytes = 0;
    try {
      for (let piece = files.next(); piece !== undefined; piece = files.next()) {
        pieces.push(piece);
        bytes += piece.length;
        if (bytes >= PART_BYTES) {
          parts.push(new Blob(pieces));
          pieces = [];
          bytes = 0;
          await between();
        }
      }
    } finally {
      files.free();
    }
    return new Blob([...parts, ...pieces], { type: "application/x-tar" });
  } catch (error) {
    throw EskerError.from(error);
  }
}

/** Puts the content of a Blob with a tar file in the place of the store's. `between` runs between pieces. */
export async function readArchive(store, archive, between = turn) {
  if (!(archive instanceof Blob)) throw new EskerError("invalid-argument", "an archive is a Blob or a File");
  try {
    const files = store.import();
    try {
      for (let at = 0; at < archive.size; at += PIECE_BYTES) {
        const piece = new Uint8Array(await archive.slice(at, at + PIECE_BYTES).arrayBuffer());
        let taken = files.push(piece);
        while (!taken) {
          await store.tend();
          taken = files.push(new Uint8Array(0));
        }
        await between();
      }
    } catch (error) {
      files.free();
      store.discardImport();
      throw error;
    }
    store.finishImport(files);
  } catch (error) {
    throw EskerError.from(error);
  }
}
