'use strict';

exports.handler = async () => 'in a folder';
