// Makes a component of a JavaScript module: node build.js SOURCE INTERFACES WORLD COMPONENT
//
// What `jco componentize` does, by the library that it calls: release 1.35.0 of jco gives that library no file system.

import { componentize } from "@bytecodealliance/componentize-js";
import { _setPreopens } from "@bytecodealliance/preview2-shim/filesystem";
import { writeFile } from "node:fs/promises";

const [sourcePath, witPath, worldName, componentPath] = process.argv.slice(2);
_setPreopens({ "/": "/" });
const { component } = await componentize({
  sourcePath,
  witPath,
  worldName,
  // The program has no network.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(componentPath, component);
