Promise.reject(new Error('early'));
exports.handler = async () => 1;
