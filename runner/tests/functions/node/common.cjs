exports.handler = async () => [typeof require, __filename.split('/').at(-1)];
