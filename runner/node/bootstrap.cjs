//! Hearth's side of a Node function: loads the handler and calls it for every event on the link.
//!
//! Speaks the protocol of `src/wire/link.rs` on descriptor 3, and behaves towards the function as
//! AWS's own client for Node does: the same ways to answer, `context`, error documents, log lines,
//! exit statuses. Node 18 or later, no dependencies.
//!
//! * It is a CommonJS script: Node sets up its ES module loader, a quarter of its start, only when
//!   a function turns out to be such a module. It is one long file for the same reason: a second
//!   one would have to be found and read.
//! * The link is read by the event loop, so that a function's timers and connections live on
//!   between events. While a handler runs it does not count as a reason to go on: when nothing else
//!   is left to wait for, Node says so (`beforeExit`), and that is the moment
//!   `callbackWaitsForEmptyEventLoop` is about.
//! * Answers and what a function prints are written at once, not queued: an answer is whole before
//!   anything can end the process, and what was printed is in the log before the answer is sent.
//! * Most starts happen before their function is known (a *spare*): executed with the argument `spare`,
//!   it goes through all that an assignment and the first events do with functions of our own, and
//!   waits for its environment. From there on there is one path; and apart from its age and what is in
//!   `/proc/self` a function finds nothing that tells it which way its process was started.
//!
//! What it does not do: streamed responses, and deciding how a crash, an exit or a timeout is
//! reported. The control plane sees the process end, or ends it.

'use strict';

const fs = require('node:fs');

const LINK = 3;
// Frame kinds, of `wire::link::Kind`.
const HELLO = 1, READY = 2, INIT_FAILED = 3, RESPONSE = 4, FAILED = 5, OVERSIZE = 6, FATAL = 7, SPARE = 8;
const INVOKE = 64, ASSIGN = 65;
const HEADER = 8;
// The sequence number of what belongs to no event.
const NO_EVENT = 0;
// Before anything else is loaded: whoever started Node learns that it runs.
fs.writeSync(LINK, Buffer.from([2, 0, 0, 0, HELLO, 0, 0, 0, 4, 0]));

const Module = require('node:module');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const util = require('node:util');

// AWS's 6 MiB and the 100 bytes it grants on top; `wire::link::MAX_RESPONSE` and `MAX_EVENT`.
const MAX_RESPONSE = 6 * 1024 * 1024 + 100;
// `wire::link::Kind::Invoke.limit()`.
const MAX_INVOKE = MAX_RESPONSE + 16 * 1024;
// `wire::link::MAX_ERROR`.
const MAX_ERROR = 256 * 1024;
// One read takes an ordinary event whole; a larger one is gathered.
const CHUNK = 64 * 1024;
// Milliseconds between two attempts to write to a full pipe or socket: a reader that is at it has
// emptied a socket buffer after the first, one that is not need not cost a processor.
const SHORTEST_PAUSE = 0.05, LONGEST_PAUSE = 5;
// Statuses AWS's client exits with.
const EXIT_REJECTION = 128, EXIT_EXCEPTION = 129;
// What Node itself exits with when a module waits for something that never comes.
const EXIT_UNSETTLED = 13;

// As often as it takes until V8 has compiled what is worth it.
const REHEARSALS = 12;

// What was compiled of the function's files when they were taken in: a pack, as `compile.cjs` writes it.
const COMPILED = `/var/lang/compiled/nodejs${process.versions.node.split('.')[0]}.x`;
const TRACE_ID = '_X_AMZN_TRACE_ID';
// Libraries look here for the id of the event being served.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

// === loopback ===

// The C library asks for interfaces over netlink, which no sandbox has. Libraries call this while they
// are loaded, often without a thought that it might fail, and loopback is all there is anyway.
const LOOPBACK = { mac: '00:00:00:00:00:00', internal: true };
const askedOfTheSystem = os.networkInterfaces;
os.networkInterfaces = () => {
  try {
    return askedOfTheSystem();
  } catch {
    const four = { address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4', cidr: '127.0.0.1/8' };
    const netmask = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
    const six = { address: '::1', netmask, family: 'IPv6', cidr: '::1/128', scopeid: 0 };
    return { lo: [{ ...four, ...LOOPBACK }, { ...six, ...LOOPBACK }] };
  }
};
// So that `import { networkInterfaces } from 'node:os'` finds it, too.
Module.syncBuiltinESMExports();

// === writing ===

// Where everything goes while it is only rehearsed.
let nowhere = null;

/** Writes all bytes, waiting for a slow reader if need be. */
function writeAll(to, bytes) {
  const fd = nowhere ?? to;
  let pause = SHORTEST_PAUSE;
  for (let done = 0; done < bytes.length; ) {
    try {
      done += fs.writeSync(fd, bytes, done);
      pause = SHORTEST_PAUSE;
    } catch (err) {
      // Node makes the link non-blocking, and a function may do that to its output.
      if (err.code !== 'EAGAIN') throw err;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pause);
      pause = Math.min(2 * pause, LONGEST_PAUSE);
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

/**
 * Makes `process.stdout` or `process.stderr` write at once: Node's own streams queue what does not
 * fit into a pipe, and lose it when the process exits.
 */
function synchronize(name, fd) {
  let stream;
  const get = () => {
    if (stream === undefined) {
      const { Writable } = require('node:stream');
      stream = new Writable({
        write(chunk, _encoding, callback) {
          writeLog(fd, chunk);
          callback();
        },
      });
      stream.fd = fd;
      stream._isStdio = true;
    }
    return stream;
  };
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get });
}

// === errors, in AWS's forms ===

/** An error of AWS's client, `Runtime.<name>`. */
function runtimeError(name, message) {
  const err = new Error(message);
  const value = `Runtime.${name}`;
  Object.defineProperty(err, 'name', { value, configurable: true, writable: true });
  // The name was not there yet when the stack was taken.
  err.stack = err.stack.replace(/^Error/, value);
  return err;
}

/** The stack down to the function's outermost frame: what called that says nothing about it. */
function stackLines(stack) {
  const lines = stack.split('\n');
  const own = lines.findIndex((line) => /^ +at /.test(line) && line.includes(__filename));
  return own < 0 ? lines : lines.slice(0, own);
}

/** The document the caller gets. */
function errorDocument(err) {
  try {
    const alike = [err?.name, err?.message, err?.stack].every((it) => it && typeof it === 'string');
    if (util.types.isNativeError(err) || alike) {
      return { errorType: err.name, errorMessage: err.message, trace: stackLines(err.stack) };
    }
    return { errorType: typeof err, errorMessage: err.toString(), trace: [] };
  } catch {
    const errorMessage =
      'callback called with Error argument, but there was a problem while retrieving one or more' +
      ' of its message, name, and stack';
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

/** A value as text, even one that refuses. */
function textOf(value) {
  try {
    return String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** Logs an error as AWS does: one line of JSON behind what happened. */
function logError(what, reason) {
  const err = reason instanceof Error ? reason : new Error(textOf(reason));
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

// Whether log records are JSON; known with the environment.
let json = false;
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
  json = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
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

// Behind the name of an ES module that is to be loaded although it was before.
let again = '';

/** Where the function's files are. */
const taskRoot = () => process.env.LAMBDA_TASK_ROOT ?? '/var/task';

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
  const root = taskRoot();
  const file = path.resolve(root, folder, name);
  const has = (extension) => fs.existsSync(file + extension);
  const importAs = (extension) => {
    return import(require('node:url').pathToFileURL(file + extension).href + again);
  };
  if (has('') && fs.statSync(file).isFile()) return require(file);
  if (has('.js')) {
    return isModuleFolder(path.dirname(file)) ? importAs('.js') : require(`${file}.js`);
  }
  if (has('.mjs')) return importAs('.mjs');
  if (has('.cjs')) return require(`${file}.cjs`);
  if (has('')) return require(file);
  return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
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

// === the link ===

/** Frames on descriptor 3. */
class Link {
  /** What came of a frame whose rest has not come yet. */
  parts = [];
  had = 0;
  needed = 0;

  /** Calls `receive` with every frame; the process ends with the link. */
  constructor(receive) {
    this.receive = receive;
    const buffer = Buffer.allocUnsafeSlow(CHUNK);
    const callback = (count) => {
      this.take(buffer.subarray(0, count));
      return true;
    };
    const end = () => process.exit(0);
    this.socket = new net.Socket({ fd: LINK, onread: { buffer, callback } });
    this.socket.on('end', end).on('error', end);
    this.socket.resume();
  }

  /** Passes on what whole frames there are, and keeps the rest. */
  take(bytes) {
    if (this.had > 0) {
      this.parts.push(Buffer.from(bytes));
      this.had += bytes.length;
      if (this.had < this.needed) return;
      bytes = Buffer.concat(this.parts);
      this.parts = [];
      this.had = 0;
    }
    while (bytes.length > 0) {
      const body = bytes.length < HEADER ? 0 : bytes.readUInt32LE(0);
      if (body > MAX_INVOKE) throw new Error(`a body of ${body} bytes is none of the protocol's`);
      const length = HEADER + body;
      if (bytes.length < length) {
        // Copied: the socket reads into the same buffer again.
        this.parts = [Buffer.from(bytes)];
        this.had = bytes.length;
        this.needed = length;
        return;
      }
      this.receive(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
  }

  /** Sends a frame, with the sequence number of the event it answers. */
  send(kind, sequence, body) {
    try {
      writeAll(LINK, frameOf(kind, sequence, body));
    } catch (err) {
      if (err.code !== 'EPIPE') throw err;
      process.exit(0);
    }
  }
}

function frameOf(kind, sequence, body) {
  const text = typeof body === 'string';
  const length = text ? Buffer.byteLength(body) : body.length;
  const frame = Buffer.allocUnsafe(HEADER + length);
  frame.writeUInt32LE(length, 0);
  // One byte and three.
  frame.writeUInt32LE(kind + sequence * 256, 4);
  if (text) frame.write(body, HEADER);
  else body.copy(frame, HEADER);
  return frame;
}

/** The parts of an Invoke frame. */
function parse(frame) {
  if (frame[4] !== INVOKE) throw new Error(`a frame of kind ${frame[4]} is none of the protocol's`);
  let at = HEADER + 8;
  const text = () => {
    const start = at + 4;
    at = start + frame.readUInt32LE(at);
    return frame.toString('utf8', start, at);
  };
  return {
    sequence: frame.readUIntLE(5, 3),
    deadline: frame.readUInt32LE(HEADER) + frame.readUInt32LE(HEADER + 4) * 2 ** 32,
    requestId: text(),
    arn: text(),
    traceId: text(),
    clientContext: text(),
    identity: text(),
    payload: frame.toString('utf8', at),
  };
}

// === the life of an instance ===

let link = null;
let handler = null;
// What a frame means.
let receive = serve;
// The event being served; none before the first and between two.
let current = null;
// What to do when the event loop has nothing left but the link.
let onEmptyLoop = () => process.exit(EXIT_UNSETTLED);

/** One event and the many ways to answer it, of which the first one counts. */
class Invocation {
  settled = false;
  answered = false;
  waitsForEmptyEventLoop = true;

  constructor(sequence) {
    this.sequence = sequence;
  }

  /** Sends the answer, and lets the link count again as something to wait for. */
  answer(kind, body) {
    if (this.answered) {
      console.error('The invocation has already been answered; this answer is ignored.');
      return;
    }
    this.answered = true;
    current = null;
    onEmptyLoop = () => {};
    link.socket.ref();
    link.send(kind, this.sequence, body);
  }

  respond(result) {
    let text;
    try {
      text = JSON.stringify(result) ?? 'null';
    } catch {
      throw new Error('Unable to stringify response body');
    }
    const size = Buffer.byteLength(text);
    if (size <= MAX_RESPONSE) return this.answer(RESPONSE, text);
    const body = Buffer.alloc(8);
    body.writeBigUInt64LE(BigInt(size));
    this.answer(OVERSIZE, body);
  }

  reject(err) {
    logError('Invoke Error', err);
    this.answer(FAILED, encodeError(err));
  }

  /** Makes a function of the handler's do nothing once one of them was called without failing. */
  once(answer) {
    return (...args) => {
      if (this.settled) return;
      answer(...args);
      this.settled = true;
    };
  }

  callback = this.once((err, result) => {
    onEmptyLoop = () => {};
    if (err !== undefined && err !== null) this.reject(err);
    else if (!this.waitsForEmptyEventLoop) this.respond(result);
    else onEmptyLoop = () => setImmediate(() => this.respond(result));
  });

  done = this.once((err, result) => {
    onEmptyLoop = () => {};
    if (err !== undefined && err !== null) this.reject(err);
    else this.respond(result);
  });

  succeed = (result) => this.done(null, result);

  fail = (err) => this.done(err ?? 'handled');

  /** What the handler is given beside its event. */
  context(parts) {
    const invocation = this;
    const { env } = process;
    return {
      get callbackWaitsForEmptyEventLoop() {
        return invocation.waitsForEmptyEventLoop;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        invocation.waitsForEmptyEventLoop = value;
      },
      succeed: this.succeed,
      fail: this.fail,
      done: this.done,
      functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: env.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: document(parts.clientContext, 'ClientContext'),
      identity: document(parts.identity, 'CognitoIdentity'),
      invokedFunctionArn: parts.arn,
      awsRequestId: parts.requestId,
      getRemainingTimeInMillis: () => parts.deadline - Date.now(),
    };
  }
}

/** What came beside the event as JSON. */
function document(text, name) {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new Error(`Cannot parse ${name} as json: ${err}`);
  }
}

/** Serves one event. */
function serve(frame) {
  const parts = parse(frame);
  if (current !== null) throw new Error('an event before the answer to the last one');
  const invocation = new Invocation(parts.sequence);
  current = invocation;
  globalThis[REQUEST_ID] = parts.requestId;
  if (parts.traceId !== '') process.env[TRACE_ID] = parts.traceId;
  else delete process.env[TRACE_ID];
  // From here on only the function's own doings keep the event loop going.
  link.socket.unref();
  onEmptyLoop = () => {
    // Neither answered nor anything left that could: AWS answers for the handler.
    invocation.settled = true;
    invocation.respond(null);
  };
  try {
    const context = invocation.context(parts);
    const result = handler(JSON.parse(parts.payload), context, invocation.callback);
    if (typeof result?.then === 'function') {
      result.then(invocation.succeed, invocation.fail).catch(invocation.fail);
    }
  } catch (err) {
    invocation.callback(err);
  }
}

/** Reports what nobody caught, and ends the process. */
function crash(what, err, status) {
  logError(what, err);
  // Between two events nobody waits for a frame: the exit status says it all.
  if (handler === null) writeAll(LINK, frameOf(INIT_FAILED, NO_EVENT, encodeError(err)));
  else if (current !== null) writeAll(LINK, frameOf(FATAL, current.sequence, encodeError(err)));
  process.exit(status);
}

/** Has modules loaded as they were compiled when the function's code was taken in, if they were. */
function useCompiled() {
  if (!fs.existsSync(COMPILED)) return;
  const before = module.children;
  require('./compiled.cjs').use(COMPILED);
  // Nothing that a function would look for its own modules in.
  delete require.cache[path.join(__dirname, 'compiled.cjs')];
  module.children = before.filter((child) => child.filename !== path.join(__dirname, 'compiled.cjs'));
}

/** Loads the handler, and says so; who cannot, does not return. */
async function begin() {
  useCompiled();
  // Until then only the module's own doings keep the event loop going.
  link.socket.unref();
  onEmptyLoop = () => process.exit(EXIT_UNSETTLED);
  try {
    handler = await loadHandler(process.env._HANDLER ?? '');
  } catch (err) {
    crash('Uncaught Exception', err, EXIT_EXCEPTION);
  }
  onEmptyLoop = () => {};
  link.socket.ref();
  link.send(READY, NO_EVENT, '');
}

// === starting ahead of time ===

/** Makes these, in this order, the whole environment, and what follows from it. */
function replaceEnvironment(entries) {
  const { env } = process;
  for (const name of Object.keys(env)) delete env[name];
  for (const [name, value] of entries) env[name] = value;
  // From NODE_PATH, which Node has read at its start.
  Module._initPaths();
  patchConsole();
}

/** Becomes the function that an Assign frame says. */
function assume(frame) {
  if (frame[4] !== ASSIGN) throw new Error(`a frame of kind ${frame[4]} is none for a spare`);
  const entries = [];
  for (let count = frame.readUInt16LE(HEADER), at = HEADER + 2; count > 0; count -= 1) {
    const start = at + 4;
    at = start + frame.readUInt32LE(at);
    const entry = frame.toString('utf8', start, at);
    const equals = entry.indexOf('=');
    entries.push([entry.slice(0, equals), entry.slice(equals + 1)]);
  }
  replaceEnvironment(entries);
  process.chdir(taskRoot());
}

/** A body of length-prefixed texts behind `head`. */
function bodyOf(head, texts) {
  const parts = [head];
  for (const text of texts) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(Buffer.byteLength(text));
    parts.push(length, Buffer.from(text));
  }
  return Buffer.concat(parts);
}

/**
 * Does all that an assignment and the first events will do, on functions of our own: a CommonJS one
 * and an ES module in turn. Afterwards everything that a function could see of it is as it was.
 */
async function rehearse() {
  const environment = Object.entries(process.env);
  const folder = process.cwd();
  const own = path.join(__dirname, 'rehearsal');
  const texts = Array.from({ length: 20 }, (_, number) => `REHEARSAL_${number}=some value`);
  texts.push(...environment.map((entry) => entry.join('=')), `LAMBDA_TASK_ROOT=${own}`);
  // An event has a deadline, an id and an ARN, and may have a trace id and two documents more.
  const words = ['00000000-0000-0000-0000-000000000000', 'arn:aws:lambda', 'Root=1', '{}', '{}'];
  const paths = new Set(Object.keys(Module._pathCache));
  nowhere = fs.openSync('/dev/null', 'w');
  for (let round = 0; round < REHEARSALS; round += 1) {
    again = `?${round}`;
    for (const name of ['common', 'module']) {
      const head = Buffer.alloc(2);
      head.writeUInt16LE(texts.length + 1);
      assume(frameOf(ASSIGN, NO_EVENT, bodyOf(head, [...texts, `_HANDLER=${name}.handler`])));
      await begin();
      for (const event of ['{"key": ["value", 1, 2.5, null, {"deeper": true}]}', '"fail"']) {
        const body = Buffer.concat([bodyOf(Buffer.alloc(8), words), Buffer.from(event)]);
        serve(frameOf(INVOKE, 1, body));
        while (current !== null) await new Promise(setImmediate);
      }
    }
    for (const file of Object.keys(require.cache).filter((file) => file.startsWith(own))) {
      delete require.cache[file];
    }
    module.children = module.children.filter((child) => !child.filename.startsWith(own));
    for (const key of Object.keys(Module._pathCache)) {
      if (!paths.has(key)) delete Module._pathCache[key];
    }
  }
  again = '';
  fs.closeSync(nowhere);
  nowhere = handler = null;
  delete globalThis[REQUEST_ID];
  replaceEnvironment(environment);
  process.chdir(folder);
}

/** The life of a spare, up to the moment when it is one no longer. */
async function waitForFunction() {
  const assigned = new Promise((resolve) => {
    receive = (frame) => {
      receive = serve;
      assume(frame);
      resolve();
    };
  });
  await rehearse();
  link.send(SPARE, NO_EVENT, '');
  await assigned;
}

async function main() {
  synchronize('stdout', 1);
  synchronize('stderr', 2);
  patchConsole();
  process.on('uncaughtException', (err) => crash('Uncaught Exception', err, EXIT_EXCEPTION));
  process.on('unhandledRejection', (reason, promise) => {
    const err = runtimeError('UnhandledPromiseRejection', textOf(reason));
    crash('Unhandled Promise Rejection', Object.assign(err, { reason, promise }), EXIT_REJECTION);
  });
  process.on('beforeExit', () => onEmptyLoop());
  link = new Link((frame) => receive(frame));
  if (process.argv[2] === 'spare') {
    process.argv.length = 2;
    await waitForFunction();
  }
  await begin();
}

main();
