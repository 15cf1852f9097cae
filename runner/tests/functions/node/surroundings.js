//! Handlers that tell what they see.

'use strict';

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');

exports.context = async (event, context) => {
  const { getRemainingTimeInMillis, succeed, fail, done, ...rest } = context;
  const kinds = [getRemainingTimeInMillis, succeed, fail, done].map((it) => typeof it);
  return { ...rest, kinds };
};
exports.remaining = async (event, context) => context.getRemainingTimeInMillis();
exports.trace = async () => process.env._X_AMZN_TRACE_ID ?? null;
exports.requestId = async () => globalThis[Symbol.for('aws.lambda.runtime.requestId')];
exports.required = async () => require('dependency');
exports.starts = async () => {
  const script = 'for fd in /proc/$$/fd/*; do readlink $fd; done; true';
  const found = execFileSync('/bin/sh', ['-c', script]).toString().split('\n');
  return [found.length >= 3, found.includes(fs.readlinkSync('/proc/self/fd/3'))];
};
