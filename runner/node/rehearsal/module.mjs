//! What a spare is warmed up with, as an ES module.

export const handler = async (event, context) => {
  if (event === 'fail') throw new Error('a part of the rehearsal');
  return { id: context.awsRequestId, event };
};
