// The way of @vercel/functions, over ws. It shows that the host of the test has the shape of Vercel's.
import { experimental_upgradeWebSocket } from '@vercel/functions';

export const GET = () =>
  experimental_upgradeWebSocket((ws) => {
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  });
