//! Handlers that leave something behind in the event loop.

'use strict';

const print = (text) => process.stdout.write(`${text}\n`);

exports.waits = (event, context, callback) => {
  setTimeout(() => print('after the callback'), 20);
  callback(null, context.callbackWaitsForEmptyEventLoop);
};

exports.doesNotWait = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  setInterval(() => {}, 1000);
  callback(null, context.callbackWaitsForEmptyEventLoop);
};

exports.failsAtOnce = (event, context, callback) => {
  setInterval(() => {}, 1000);
  callback(new Error('at once'));
};

exports.asyncDoesNotWait = async () => {
  setInterval(() => {}, 1000);
  return 'at once';
};

let ticks = 0;
exports.ticks = async (event) => {
  if (event === 'start') setInterval(() => ticks++, 1);
  return ticks;
};
