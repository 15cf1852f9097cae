//! What a spare is warmed up with: a function that answers, and one that fails.

'use strict';

exports.handler = async (event, context) => {
  if (event === 'fail') throw new Error('a part of the rehearsal');
  return { id: context.awsRequestId, event };
};
