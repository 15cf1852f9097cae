'use strict';

exports.handler = async () => 'in an index';
