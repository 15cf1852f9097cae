//! Needs a module that only `NODE_PATH` leads to.

'use strict';

exports.handler = require('file').handler;
