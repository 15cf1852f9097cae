// A function in Node: it greets whoever the event or the URL's query names.

export const handler = async (event) => {
  const name = event.queryStringParameters?.name ?? event.name ?? "world";
  console.log(`greeting ${name}`);
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ message: `Hello, ${name}!` }),
  };
};
