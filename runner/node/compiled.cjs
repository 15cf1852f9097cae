//! Has a function's CommonJS modules loaded as they were compiled when its code was taken in.
//!
//! Part of `bootstrap.cjs`, and loaded by it where there is a pack, as `compile.cjs` writes it. Node's
//! loader finds a module, reads it and decides what it is; in the place of its last step, which compiles
//! the text and calls what comes of it, this one compiles the same text with what V8 already knows of it.
//! V8 looks whether that is of its own version and of a text of that length, and compiles as ever if not.
//!
//! That it is the very text is ours to see. So whatever could have changed one on its way (hooks of
//! `require`, wrappers, other file systems) turns this off, and a fingerprint stands behind that.

'use strict';

// Node's own, whatever a function puts in their places.
const { closeSync, fstatSync, openSync, readSync } = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const vm = require('node:vm');

// The parameters of a CommonJS module, as in `compile.cjs`.
const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname'];

/** What a source is recognised by, beside its length; as in `compile.cjs`. */
function fingerprint(text) {
  let hash = text.length;
  const step = Math.max(1, text.length >> 6);
  for (let at = 0; at < text.length; at += step) {
    hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  }
  return hash;
}

/** So many bytes of a file, which is not left open for the function to find. */
function read(file, at, length) {
  const descriptor = openSync(file);
  try {
    if (at + length > fstatSync(descriptor).size) throw new RangeError('less than that');
    const bytes = Buffer.allocUnsafeSlow(length);
    readSync(descriptor, bytes, 0, length, at);
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

/** The pack in a file: a way to ask for what was compiled of a path; nothing, if it is none. */
function open(file) {
  try {
    const start = 4 + read(file, 0, 4).readUInt32LE(0);
    const index = new Map(Object.entries(JSON.parse(read(file, 4, start - 4).toString())));
    return (name, mark) => {
      const known = index.get(name);
      if (known === undefined) return undefined;
      const [at, length, expected] = known;
      return mark() === expected ? read(file, start + at, length) : undefined;
    };
  } catch {
    // What made it made it of the function's own code, whatever that did to it.
    return undefined;
  }
}

/** `require` as a module of Node's has it. */
function requireOf(module) {
  const require = function require(id) {
    return module.require(id);
  };
  require.resolve = function resolve(request, options) {
    return Module._resolveFilename(request, module, false, options);
  };
  require.resolve.paths = function paths(request) {
    return Module._resolveLookupPaths(request, module);
  };
  require.main = process.mainModule;
  require.extensions = Module._extensions;
  require.cache = Module._cache;
  return require;
}

/** From now on, modules in this pack are loaded from it. */
function use(file) {
  // Where V8 is told how to work it may work otherwise, and Node keeps more of a source than its code
  // where it is to map it.
  if (process.env.NODE_OPTIONS || process.execArgv.length > 0) return;
  const find = open(file);
  if (find === undefined) return;
  const { wrap } = Module;
  const plain = Module.prototype._compile;
  const load = Module._extensions['.js'];

  /** Whether a module is being loaded by Node, from its file, with nobody in between. */
  const isPlain = (module, name, format) =>
    (format === undefined || format === 'commonjs') &&
    Module.prototype._compile === compile &&
    Module._extensions['.js'] === load &&
    Module._extensions['.cjs'] === undefined &&
    Module.wrap === wrap &&
    Module._cache[name] === module &&
    !module.loaded &&
    !Object.hasOwn(module, '_compile') &&
    !process.sourceMapsEnabled;

  const compile = function _compile(content, name, format) {
    let cachedData;
    try {
      if (isPlain(this, name, format)) cachedData = find(name, () => fingerprint(content));
    } catch {
      // An index of what is not there.
    }
    if (cachedData === undefined) return plain.apply(this, arguments);
    const body = vm.compileFunction(content, PARAMETERS, { filename: name, cachedData });
    const { exports } = this;
    return body.call(exports, exports, requireOf(this), this, name, path.dirname(name));
  };
  Module.prototype._compile = compile;
}

module.exports = { use };
