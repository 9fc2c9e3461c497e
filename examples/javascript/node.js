// The store in Node.js: its component, made JavaScript by `jco transpile`, over a directory.
//
//   node node.js DIRECTORY put KEY VALUE | get KEY | scan | views PAGE
//
// `put`, `get` and `scan` use `esker:kv`, `views` counts with `wasi:keyvalue`.

import { _setPreopens, preopens } from "@bytecodealliance/preview2-shim/filesystem";

const [directory, command, ...words] = process.argv.slice(2);

// The directory that the component is given. The shim cannot list a preopened directory itself, only one that was
// opened in it; so that one is handed over.
_setPreopens({ "/": directory });
const [[preopened]] = preopens.getDirectories();
const opened = preopened.openAt({ symlinkFollow: true }, ".", { directory: true }, { read: true });
preopens.getDirectories = () => [[opened, "/"]];

const { kvStore, ...others } = await import("./esker/esker.js");

const DEFAULT_BUCKET = 0;
const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);

try {
  if (command === "views") {
    const bucket = others["wasi:keyvalue/store@0.2.0-draft2"].open("default");
    console.log(others["wasi:keyvalue/atomics@0.2.0-draft2"].increment(bucket, words[0], 1n).toString());
  } else {
    withStore((store) => answer(store, command, words));
  }
} catch (error) {
  // What the interface defines comes as the payload: a tag, and words.
  console.error(`error: ${error.payload?.tag ?? error}: ${error.payload?.val ?? ""}`);
  process.exitCode = 1;
}

/** Opens the store for one piece of work. */
function withStore(work) {
  const store = kvStore.open("", {});
  work(store);
  store.close();
}

/** Does one command. */
function answer(store, command, [key, value]) {
  switch (command) {
    case "put":
      store.put(DEFAULT_BUCKET, bytes(key), bytes(value), "synced");
      break;
    case "get": {
      const found = store.get(DEFAULT_BUCKET, bytes(key));
      console.log(found === undefined ? "(nothing)" : text(found));
      break;
    }
    case "scan": {
      const cursor = store.scan(DEFAULT_BUCKET, {}, { reverse: false, keysOnly: false });
      for (let page; (page = cursor.next(1_000, 65_536)).length > 0; ) {
        for (const entry of page) console.log(`${text(entry.key)}\t${text(entry.value)}`);
      }
      break;
    }
    default:
      throw new Error("say put KEY VALUE, get KEY, scan, or views PAGE");
  }
}
