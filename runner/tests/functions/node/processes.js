//! Handlers that end the process.

'use strict';

exports.exits = async (event) => {
  process.stdout.write('leaving\n');
  process.exit(event);
};
exports.setsCode = async () => {
  process.exitCode = 9;
  return 'answered';
};
exports.kills = async () => {
  process.kill(process.pid, 'SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 60_000));
};
exports.keepsRunning = async () => {
  setInterval(() => {}, 1000);
  return 'answered';
};
