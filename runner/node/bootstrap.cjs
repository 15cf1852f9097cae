//! Hearth's side of a Node function: loads the handler and calls it for every event on the link.
//!
//! Speaks the protocol of `src/wire/link.rs` on descriptor 3, and behaves towards the function as
//! AWS's own client for Node does: the same ways to answer, `context`, error documents, log lines,
//! exit statuses. Node 18 or later, no dependencies.
//!
//! * It is a CommonJS script: Node sets up its ES module loader (a quarter of its start) only when a
//!   function turns out to be one.
//! * The link is read by the event loop, so that a function's timers and connections live on between
//!   events, and is written synchronously, past the stream machinery. While a handler runs the link
//!   does not count as a reason to go on: when nothing else is left to wait for, Node says so
//!   (`beforeExit`), and that is the moment `callbackWaitsForEmptyEventLoop` is about.
//! * What a function prints is written at once, so that it is in the pipe before the answer is.
//!
//! What it does not do: streamed responses, and deciding how a crash, an exit or a timeout is
//! reported. The control plane sees the process end, or ends it.

'use strict';

const fs = require('node:fs');

const LINK = 3;
// Frame kinds, of `wire::link::Kind`.
const HELLO = 1, READY = 2, INIT_FAILED = 3, RESPONSE = 4, FAILED = 5, OVERSIZE = 6, INVOKE = 64;
const HEADER = 8;
// Before anything else is loaded: whoever started Node learns that it runs.
fs.writeSync(LINK, Buffer.from([2, 0, 0, 0, HELLO, 0, 0, 0, 1, 0]));

const net = require('node:net');
const path = require('node:path');
const util = require('node:util');

// AWS's 6 MiB and the 100 bytes it grants on top; `wire::link::MAX_RESPONSE` and `MAX_EVENT`.
const MAX_RESPONSE = 6 * 1024 * 1024 + 100;
// `wire::link::Kind::Invoke.limit()`.
const MAX_INVOKE = MAX_RESPONSE + 16 * 1024;
// `wire::link::MAX_ERROR`.
const MAX_ERROR = 256 * 1024;
// One read takes an ordinary event whole; a larger one is gathered in a buffer of its size.
const CHUNK = 64 * 1024;
// Statuses AWS's client exits with.
const EXIT_REJECTION = 128, EXIT_EXCEPTION = 129;
// What Node itself exits with when a module waits for something that never comes.
const EXIT_UNSETTLED = 13;

const TASK_ROOT = process.env.LAMBDA_TASK_ROOT ?? '/var/task';
const TRACE_ID = '_X_AMZN_TRACE_ID';
// Libraries look here for the id of the event being served.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

// === writing ===

/** Sleeps for a millisecond with the whole thread. */
function pause() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

/** Writes all bytes, waiting for a slow reader if need be. */
function writeAll(fd, bytes) {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += fs.writeSync(fd, bytes, done);
    } catch (err) {
      // The function may have made its output non-blocking; its lines are not lost for that.
      if (err.code !== 'EAGAIN') throw err;
      pause();
    }
  }
}

/** Writes to the log. Nobody reading it is no reason for a function to fail. */
function writeLog(fd, bytes) {
  try {
    writeAll(fd, bytes);
  } catch (err) {
    if (err.code !== 'EPIPE') throw err;
  }
}

/** Makes `process.stdout` or `process.stderr` write at once, whatever is behind it. */
function synchronize(name, fd) {
  let stream;
  const get = () => {
    if (stream === undefined) {
      const { Writable } = require('node:stream');
      stream = new Writable({
        decodeStrings: true,
        write(chunk, _encoding, callback) {
          writeLog(fd, chunk);
          callback();
        },
      });
      stream.fd = fd;
      stream._isStdio = true;
      // As Node's own: ending standard output is not what it is for.
      stream._destroy = (err, callback) => callback(err);
    }
    return stream;
  };
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get });
}

// === errors, in AWS's forms ===

/** An error of AWS's client, `Runtime.<name>`. */
function runtimeError(name, message) {
  const err = new Error(message);
  err.name = `Runtime.${name}`;
  // The name was not there yet when the stack was taken.
  err.stack = err.stack.replace(/^Error/, err.name);
  return err;
}

/** The stack without this file's own frames, which say nothing about the function. */
function stackLines(stack) {
  return stack.split('\n').filter((line) => !line.includes(__filename));
}

/** The document the caller gets. */
function errorDocument(err) {
  try {
    const named = err && typeof err.name === 'string' && typeof err.message === 'string';
    if (util.types.isNativeError(err) || (named && typeof err.stack === 'string')) {
      return { errorType: err.name, errorMessage: err.message, trace: stackLines(err.stack) };
    }
    return { errorType: typeof err, errorMessage: err.toString(), trace: [] };
  } catch {
    const errorMessage =
      'callback called with Error argument, but there was a problem while retrieving one or more of' +
      ' its message, name, and stack';
    return { errorType: 'handled', errorMessage };
  }
}

/** The bytes of an error document, cut to what the link takes. */
function encodeError(err) {
  const document = errorDocument(err);
  for (let limit = MAX_ERROR; ; limit = Math.floor(limit / 4)) {
    const bytes = Buffer.from(JSON.stringify(document));
    if (bytes.length <= MAX_ERROR) return bytes;
    // Escapes make a character up to six bytes: cut and see.
    document.errorType = String(document.errorType).slice(0, 1024);
    document.errorMessage = String(document.errorMessage).slice(0, limit);
    document.trace = (document.trace ?? [])
      .slice(0, Math.max(2, Math.floor(limit / 2048)))
      .map((line) => line.slice(0, 1024));
  }
}

/** Logs an error as AWS does: one line of JSON behind what happened. */
function logError(what, reason) {
  const err = reason instanceof Error ? reason : new Error(reason);
  if (json) return console.error(err);
  let text;
  try {
    text = JSON.stringify(err, (_key, value) => {
      if (!(value instanceof Error)) return value;
      const { name: errorType, message: errorMessage, code, stack } = value;
      const shown = { errorType, errorMessage, code, ...value };
      if (typeof stack === 'string') shown.stack = stackLines(stack);
      return shown;
    });
  } catch {
    text = JSON.stringify(errorDocument(err));
  }
  console.error(what, `\t${text}`);
}

// === console ===

const json = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

/** What JSON logs say about an error. */
function describe(err) {
  const stackTrace = typeof err.stack === 'string' ? stackLines(err.stack) : err.stack;
  return {
    errorType: err?.constructor?.name ?? 'UnknownError',
    errorMessage: err.message,
    stackTrace,
  };
}

/** A record of the log in JSON. */
function jsonRecord(level, params) {
  const record = {
    timestamp: new Date().toISOString(),
    level,
    requestId: globalThis[REQUEST_ID],
  };
  if (params.length === 1) {
    try {
      record.message = params[0];
      return JSON.stringify(record, (_key, value) =>
        value instanceof Error ? { ...describe(value), ...value } : value,
      );
    } catch {
      record.message = util.format(params[0]);
      return JSON.stringify(record);
    }
  }
  record.message = util.format(...params);
  const err = params.find((param) => param instanceof Error);
  return JSON.stringify(err === undefined ? record : { ...record, ...describe(err) });
}

/** A record of the log as text: tabs between its parts, no line break inside. */
function textRecord(level, params) {
  const head = `${new Date().toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t`;
  return (head + util.format(...params)).replaceAll('\n', '\r');
}

/** Puts AWS's log lines behind the console's methods. */
function patchConsole() {
  const record = json ? jsonRecord : textRecord;
  const least = LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase());
  const at = (level) => {
    // Fatal records are written at every level.
    if (level !== 'FATAL' && LEVELS.indexOf(level) < least) return () => {};
    return (...params) => writeLog(1, Buffer.from(`${record(level, params)}\n`));
  };
  for (const level of LEVELS) console[level.toLowerCase()] = at(level);
  console.log = console.info;
}

// === finding the handler ===

/** Whether `.js` files in this folder are ES modules, which the nearest package.json decides. */
function isModuleFolder(folder) {
  if (folder.endsWith('/node_modules')) return false;
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8'))?.type === 'module';
    } catch (err) {
      console.warn(`${file} cannot be read and does not say whether files are ES modules.`, err);
      return false;
    }
  }
  return folder !== '/' && isModuleFolder(path.dirname(folder));
}

/** The exports of the function's module, wherever and whatever it is. */
async function loadModule(folder, name) {
  const file = path.resolve(TASK_ROOT, folder, name);
  const has = (extension) => fs.existsSync(file + extension);
  const importAs = (extension) => import(require('node:url').pathToFileURL(file + extension).href);
  if (has('') && fs.statSync(file).isFile()) return require(file);
  if (has('.js')) {
    return isModuleFolder(path.dirname(file)) ? importAs('.js') : require(`${file}.js`);
  }
  if (has('.mjs')) return importAs('.mjs');
  if (has('.cjs')) return require(`${file}.cjs`);
  return require(require.resolve(name, { paths: [TASK_ROOT, path.resolve(TASK_ROOT, folder)] }));
}

/** The function that `folder/module.path.to.function` names. */
async function loadHandler(name) {
  if (name.includes('..')) {
    const hint = 'Use absolute paths when specifying root directories in handler names.';
    throw runtimeError('MalformedHandlerName', `'${name}' is not a valid handler name. ${hint}`);
  }
  const base = path.basename(name);
  const folder = name.slice(0, name.length - base.length);
  const [, module, names] = /^([^.]*)\.(.*)$/.exec(base) ?? [];
  if (module === undefined) throw runtimeError('MalformedHandlerName', 'Bad handler');
  let handler;
  try {
    handler = await loadModule(folder, module);
  } catch (err) {
    if (err instanceof SyntaxError) throw runtimeError('UserCodeSyntaxError', String(err));
    if (err?.code === 'MODULE_NOT_FOUND') throw runtimeError('ImportModuleError', String(err));
    throw err;
  }
  for (const key of names.split('.')) handler = handler?.[key];
  if (!handler) throw runtimeError('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') {
    throw runtimeError('HandlerNotFound', `${name} is not a function`);
  }
  return handler;
}
