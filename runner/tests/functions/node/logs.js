//! Handlers that print and log.

'use strict';

const fs = require('node:fs');

exports.levels = async () => {
  for (const level of ['trace', 'debug', 'info', 'log', 'warn', 'error', 'fatal']) {
    console[level]('a %s', level, { x: 1 });
  }
};
exports.lines = async () => console.log('one\ntwo\n', 'three');
exports.error = async () => console.error(new RangeError('logged'));
exports.object = async () => console.log({ key: 'value' });
exports.streams = async () => {
  process.stdout.write('to stdout\n');
  process.stderr.write('to stderr\n');
  process.stdout.write('no end');
};
exports.others = async () => {
  console.table([{ a: 1 }]);
  console.count('counter');
  console.dir({ a: 1 });
};
exports.writes = async (event) => {
  process.stdout.write('x'.repeat(event));
};
exports.waits = async (event) => {
  console.log('before');
  return fs.readFileSync(event, 'utf8');
};
exports.exits = async (event) => {
  console.log('x'.repeat(event));
  process.exit(0);
};
exports.streamsAndExits = async (event) => {
  process.stdout.write('x'.repeat(event));
  process.stderr.write('y'.repeat(event));
  console.log('z');
  process.exit(0);
};
