import { library } from '../../tools/build/tsup.ts';

export default library(
  [
    'src/index.ts',
    'src/backplane/backplane-link.ts',
    'src/cluster/index.ts',
    'src/everywhere/everywhere-calls.ts',
    'src/presence/presence-link.ts',
    'src/nats/index.ts',
    'src/nats/stream-log.ts',
    'src/redis/cluster-backplane.ts',
    'src/redis/index.ts',
    'src/serve-rooms/index.ts',
    'src/testing/index.ts',
  ],
  'lib="esnext.disposable"',
);
