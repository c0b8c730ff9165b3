export default {
  serverDir: '.',
  experimental: { websocket: true },
  alias: { 'crossws/adapters/node': './crossws-node.ts' },
};
