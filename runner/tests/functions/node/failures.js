//! Handlers that fail, one for each way to.

'use strict';

class Custom extends Error {
  constructor(message) {
    super(message);
    this.name = 'Custom';
    this.code = 'E_CUSTOM';
    this.extra = { a: 1 };
  }
}

exports.throws = () => {
  throw new TypeError('thrown');
};
exports.rejects = async () => {
  await null;
  throw new Custom('rejected');
};
exports.callsBack = (event, context, callback) => callback(new Error('called back'));
exports.contextFails = (event, context) => context.fail(event);
exports.contextDone = (event, context) => context.done(new Error('done'));
exports.throwsText = async () => {
  throw 'just text';
};
exports.throwsNothing = async () => {
  throw undefined;
};
exports.throwsObject = async () => {
  throw { name: 'Alike', message: 'an error', stack: 'Alike: an error\n    at nowhere' };
};
exports.throwsPoison = async () => {
  throw {
    get name() {
      throw new Error('poison');
    },
  };
};
exports.throwsSymbol = async () => {
  throw Symbol('odd');
};
exports.throwsBare = async () => {
  throw Object.create(null);
};
exports.rejectsBare = async () => {
  Promise.reject(Object.create(null));
  await new Promise((resolve) => setTimeout(resolve, 60_000));
};
// The answer is larger than what a socket takes at once, and the process ends right behind it.
exports.answersAndDies = async (event) => {
  setImmediate(() => process.exit(3));
  return 'x'.repeat(event);
};
exports.long = async (event) => {
  throw new Error('\u0001'.repeat(event));
};
exports.unhandled = async () => {
  Promise.reject(new Error('nobody looked'));
  await new Promise((resolve) => setTimeout(resolve, 60_000));
};
exports.uncaught = async () => {
  setTimeout(() => {
    throw new Custom('nobody caught');
  }, 1);
  await new Promise((resolve) => setTimeout(resolve, 60_000));
};
exports.afterwards = async () => {
  setImmediate(() => setImmediate(() => {
    throw new Error('after the answer');
  }));
  return 'answered';
};
