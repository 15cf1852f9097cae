//! Handlers that return things, one for each way to.

'use strict';

exports.echo = async (event) => event;
exports.plain = (event, context, callback) => callback(null, event);
exports.promise = (event) => new Promise((resolve) => setImmediate(() => resolve(event)));
exports.thenable = (event) => ({ then: (resolve) => resolve(event) });
exports.done = (event, context) => context.done(null, event);
exports.succeed = (event, context) => context.succeed(event);
exports.later = (event, context, callback) => setTimeout(() => callback(null, event), 1);
exports.never = () => new Promise(() => {});
exports.returns = (event) => event;
exports.length = async (event) => event.length;
// The quotation marks belong to the answer's size.
exports.size = async (event) => 'x'.repeat(event - 2);
exports.nested = { deeper: { handler: async () => 'nested' } };
exports.notAFunction = 5;

const circle = {};
circle.itself = circle;
const values = {
  undefined,
  function: () => {},
  symbol: Symbol('s'),
  notANumber: [NaN, Infinity, undefined, () => {}],
  date: new Date(0),
  map: new Map([[1, 2]]),
  bytes: Buffer.from('ab'),
  text: 'grüße \u2028 🙂',
  half: '\ud83d',
  bigint: 10n,
  circle,
  toJSON: { toJSON: () => ({ replaced: true }) },
};
exports.value = async (event) => values[event];
exports.valueByCallback = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  callback(null, values[event]);
};

let count = 0;
exports.counts = async () => ++count;

// Answers once, whatever else it says.
exports.twice = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  callback(null, 'first');
  callback(null, 'second');
  callback(new Error('third'));
  context.succeed('fourth');
};

// Both returns and calls back: the callback was first.
exports.both = async (event, context, callback) => {
  callback(null, 'called');
  return 'returned';
};

let late;
exports.late = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  if (late) late(null, 'an answer to the event before');
  late = callback;
  if (event === 'answer') callback(null, 'in time');
};
