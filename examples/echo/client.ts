// Sends its arguments to a server and prints the answers:
// npm run client -- ws://127.0.0.1:8080 hello world
import process from 'node:process';
import { dial } from '@ws/node-client';

const [url = '', ...words] = process.argv.slice(2);
try {
  const conn = await dial(url);
  for (const word of words) {
    await conn.send(word);
    console.log((await conn.readMessage()).text());
  }
  await conn.close();
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
