//! Compiles a function's CommonJS modules when its code is taken in, in a sandbox where nothing else
//! happens.
//!
//! Executed instead of the bootstrap, with the code at `/var/task` and nothing of its function known: no
//! name, no environment, no event. Nothing of the code runs; what V8 would keep in a code cache goes to
//! descriptor 3 as one *pack*, and that is the end of the sandbox. Instances of functions with this code
//! find the pack at `/var/lang/compiled`, and `bootstrap.cjs` loads modules from it.
//!
//!     link   8 bytes length of the pack (little endian) ── the pack ── end of file
//!     pack   4 bytes length of the index ── index ── code
//!     index  JSON: path of the source → [where from the end of the index, how many bytes, fingerprint]
//!
//! A pack may lack any module: whoever requires one has it compiled then, as if there were no pack. ES
//! modules are never in it: Node has no way to give one its code. A function that was never called is
//! compiled when it is, as always: what is saved is a look at every character of every module.
//!
//! Nor is a module that could import one when it runs (`import()`), by itself or in a text that it has
//! evaluated: V8 forgets whose code it is when it takes it from a cache, and the import would fail (Node 20).
//!
//! Node's own cache (`module.enableCompileCache`, Node 22) keeps what was compiled by running it, which is
//! not ours to do, in files that it names by its version and the user.

'use strict';

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const LINK = 3;
const ROOT = '/var/task';
// `pool::compile::LARGEST`: most that is taken from us.
const LARGEST_PACK = 64 * 1024 * 1024;
// Above what bundlers make of a whole program; V8 needs several times as much memory while it compiles.
const LARGEST_SOURCE = 16 * 1024 * 1024;
// Less than the ten seconds we are given: what has been compiled by then is worth having.
const MILLISECONDS = 8_000;
// Required last, if ever.
const SELDOM = /\/(?:tests?|__tests__|examples?|docs)\//;
// What could import a module when it runs; wherever it stands, a comment included.
const IMPORTS = /\bimport\s*[(/]|\beval\b|\bFunction\b|\.constructor\s*\(/;
// The parameters of a CommonJS module, as in `bootstrap.cjs`.
const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname'];

/** Paths of all files that may be modules, those first that are required most likely. */
function sources(root) {
  const found = [];
  const open = [root];
  while (open.length > 0) {
    const folder = open.pop();
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      // What a link leads to Node knows by its own name.
      if (entry.isDirectory()) open.push(file);
      else if (entry.isFile() && /\.c?js$/.test(entry.name)) found.push(file);
    }
  }
  const rank = (file) => [SELDOM.test(file.slice(root.length)) ? 1 : 0, file.split('/').length];
  const ranked = found.map((file) => [...rank(file), file]);
  ranked.sort(([a, b, c], [x, y, z]) => a - x || b - y || (c < z ? -1 : 1));
  return ranked.map(([, , file]) => file);
}

/** What a source is recognised by, beside its length; as in `bootstrap.cjs`. */
function fingerprint(text) {
  let hash = text.length;
  const step = Math.max(1, text.length >> 6);
  for (let at = 0; at < text.length; at += step) {
    hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  }
  return hash;
}

/** A module's code as it is kept, and its fingerprint; nothing if there is none. */
function codeOf(file, largest) {
  try {
    if (fs.statSync(file).size > largest) return undefined;
    // As Node does.
    const text = fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
    if (IMPORTS.test(text)) return undefined;
    const options = { filename: file, produceCachedData: true };
    const { cachedData } = vm.compileFunction(text, PARAMETERS, options);
    return cachedData && [cachedData, fingerprint(text)];
  } catch {
    // Not CommonJS: not ours to report.
    return undefined;
  }
}

/** The parts of a pack of everything beneath `root` that fits. */
function pack(root, limits = {}) {
  const { pack = LARGEST_PACK, source = LARGEST_SOURCE, milliseconds = MILLISECONDS } = limits;
  const until = performance.now() + milliseconds;
  const index = {};
  const bodies = [];
  let at = 0;
  let size = 0;
  for (const file of sources(root)) {
    const code = codeOf(file, source);
    if (code !== undefined) {
      const [body, mark] = code;
      // An entry of the index takes its path, escaped, and less than this beside it.
      size += body.length + Buffer.byteLength(JSON.stringify(file)) + 64;
      if (size > pack - 64) break;
      index[file] = [at, body.length, mark];
      bodies.push(body);
      at += body.length;
    }
    if (performance.now() > until) break;
  }
  const table = Buffer.from(JSON.stringify(index));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(table.length);
  return [head, table, ...bodies];
}

/** Sends everything, with its length before it. */
function send(parts) {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(parts.reduce((sum, part) => sum + part.length, 0)));
  for (const part of [length, ...parts]) {
    for (let at = 0; at < part.length; at += fs.writeSync(LINK, part, at));
  }
}

if (require.main === module) send(pack(ROOT));
else module.exports = { pack };
