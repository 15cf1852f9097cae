console.log('about to fail');
throw new RangeError('not today');
