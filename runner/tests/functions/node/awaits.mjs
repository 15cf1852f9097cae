export const handler = async () => await Promise.resolve('awaited'); export const value = await Promise.resolve(1);
