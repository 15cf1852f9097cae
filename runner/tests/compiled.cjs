//! Packs the modules in a folder, or says what a function sees that requires one, with a pack or without.
//!
//!     compiled.cjs pack FOLDER PACK [LIMITS]
//!     compiled.cjs probe FOLDER PACK MODULE [BEFORE]
//!
//! BEFORE is a script that is run before the module is required.

'use strict';

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const [what, folder, file, ...more] = process.argv.slice(2);
const ours = path.join(__dirname, '..', 'node');

function probe(name, before) {
  // How often V8 was given something it had made before, and how often it did not take it.
  let [given, refused] = [0, 0];
  const { compileFunction } = vm;
  vm.compileFunction = (text, parameters, options) => {
    const compiled = compileFunction(text, parameters, options);
    if (options.cachedData !== undefined) given += 1;
    if (compiled.cachedDataRejected) refused += 1;
    return compiled;
  };
  require(path.join(ours, 'compiled.cjs')).use(file);
  if (before) new Function('require', before)(require);
  const at = path.join(folder, name);
  const shown = (err) => {
    const lines = err.stack.split('\n').filter((line) => line.includes(folder));
    return `${err.name}: ${err.message}\n${lines.join('\n')}`;
  };
  let answer;
  try {
    const exports = require(at);
    const module = require.cache[require.resolve(at)];
    const own = exports.require;
    answer = {
      exports: Object.keys(exports),
      values: JSON.stringify(exports),
      module: [module.id, module.filename, module.loaded, module.paths, module.path],
      parent: module.parent?.filename,
      children: module.children.map((child) => child.filename),
      require: own && [own.name, own.length, Object.keys(own), own.main === require.main, own.cache === require.cache,
        own.resolve(at), own.resolve.paths('x'), own.extensions === require.extensions],
      text: exports.text?.toString(),
      failed: undefined,
    };
    try {
      exports.fail?.();
    } catch (err) {
      answer.failed = shown(err);
    }
  } catch (err) {
    answer = { failed: shown(err) };
  }
  return { given, refused, answer };
}

if (what === 'pack') {
  const limits = JSON.parse(more[0] ?? '{}');
  fs.writeFileSync(file, Buffer.concat(require(path.join(ours, 'compile.cjs')).pack(folder, limits)));
} else {
  const seen = probe(...more);
  Promise.resolve(require.cache[require.resolve(path.join(folder, more[0]))]?.exports.later?.()).then(
    (later) => console.log(JSON.stringify({ ...seen, later })),
    (err) => console.log(JSON.stringify({ ...seen, later: String(err) })),
  );
}
