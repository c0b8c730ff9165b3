// The direction of imports: between packages, and between the folders of a package. `pnpm check direction` runs it.

/** Published packages, from the ground up, each with the neighbours that it may import. */
const PACKAGES = {
  codec: [],
  deflate: ['codec'],
  conn: ['codec'],
  'node-io': ['codec', 'deflate', 'conn'],
  'node-server': ['codec', 'conn', 'node-io'],
  reconnect: ['conn'],
  browser: ['conn', 'reconnect'],
  'node-client': ['codec', 'conn', 'node-io', 'reconnect', 'browser'],
  rpc: ['conn'],
  hub: ['conn', 'rpc'],
  fetch: ['codec', 'conn', 'browser', 'node-io', 'node-server'],
  proxy: ['codec', 'conn', 'node-io', 'node-server', 'node-client'],
  compat: ['codec', 'deflate', 'conn', 'node-io'],
  obs: ['conn', 'reconnect', 'node-client'],
  cli: ['codec', 'conn', 'node-io', 'node-server', 'node-client'],
};

/**
 * Files and folders of a package's `src`, from the ground up. Names in one row never import each
 * other, except those of {@link UNITS}.
 */
const FLOORS = {
  codec: [
    ['arguments', 'byte-facts', 'errors', 'pool-guard', 'protocol'],
    ['masking'],
    ['memory'],
    ['text'],
    ['close'],
    ['handshake'],
    ['frames'],
    ['messages'],
    ['endpoint'],
    ['index', 'internal'],
  ],
  conn: [
    ['validate'],
    ['errors', 'transport', 'memory'],
    ['platform'],
    ['scheduler'],
    ['message', 'report'],
    ['options'],
    ['time'],
    ['writing'],
    ['call-options', 'connection', 'control', 'read'],
    ['conn', 'internals-of-conn'],
    ['conn-like', 'rate-options'],
    ['broadcast', 'join', 'transports'],
    ['index', 'internal'],
  ],
  'node-server': [
    ['errors', 'close-options', 'client-socket', 'early-bytes', 'request-facts'],
    ['pending-work', 'route-table'],
    ['conn-handler'],
    ['error-reporter', 'headers'],
    ['responder', 'tls-callbacks'],
    ['http2'],
    ['handshake-waits', 'request'],
    ['plain-requests', 'policies'],
    ['options'],
    ['route', 'serve-options'],
    ['http-server', 'upgrade-request'],
    ['acceptor'],
    ['server-base', 'upgrade-listeners'],
    ['upgrader'],
    ['raw', 'serve'],
    ['index', 'internal'],
  ],
  browser: [
    ['errors', 'utf8-length', 'web-types'],
    ['promises'],
    ['json', 'options', 'url'],
    ['payload'],
    ['dial-options'],
    ['alive', 'connecting-socket', 'message-reader', 'read-side', 'write-side'],
    ['message-writer'],
    ['web-socket-conn'],
    ['browser-conn'],
    ['dial'],
    ['reconnecting-options'],
    ['reconnecting'],
    ['index', 'internal'],
  ],
  'node-client': [
    ['errors', 'exchange'],
    ['url', 'dial-scope'],
    ['guarded-stream'],
    ['response'],
    ['proxy', 'tls'],
    ['connect'],
    ['dial'],
    ['dialer'],
    ['reconnecting'],
    ['index', 'browser', 'internal'],
  ],
  hub: [
    ['arguments', 'errors', 'position', 'reports'],
    // The other nodes. They use the hub of this node by `backplane/local-hub.ts` alone.
    ['backplane', 'everywhere', 'presence'],
    // The sessions and rooms of this node.
    ['delivery', 'events', 'history', 'options', 'rooms', 'sessions'],
    ['hub'],
    ['cluster', 'nats', 'redis', 'serve-rooms', 'testing'],
    ['index'],
  ],
};

/** One name of each row whose names form a unit: they may import each other. */
const UNITS = ['connection', 'conn', 'backplane', 'rooms'];

/** Packages that run anywhere: no Node, no DOM. The compiler checks their globals. */
const PURE = 'codec|deflate|conn|reconnect|browser';

/**
 * Files that are read as one, whose parts refer back to the whole: a connection,
 * a queue of frames with its slab, a decoder with its open message, the two units of a hub, a request through a proxy with its tunnel,
 * and the rooms of a client with their loops. `tools/check/counts.ts` bounds the lines in such circles.
 */
const ONE_UNIT =
  '^packages/(codec/src/frames/frame-(queue|slab).ts' +
  '|codec/src/messages/(message-decoder|open-message).ts' +
  '|conn/src/((connection|control|read)/|(conn|internals-of-conn).ts)' +
  '|hub/src/(backplane|everywhere|presence)/' +
  '|hub/src/((delivery|rooms|sessions)/|(events|options).ts)' +
  '|proxy/src/(tunnel/|proxied.ts)' +
  '|rpc/src/rooms/(client-rooms?|room-loop).ts)';

/** Folders that Node loads when they are first used: see `tools/build/commonjs.ts`. */
const ON_DEMAND = [
  'codec/src/endpoint/standalone',
  'codec/src/handshake/heads',
  'conn/src/transports',
  'node-io/src/deflate',
  'node-io/src/duplex',
  'node-io/src/http2',
  'node-server/src/http2',
  'node-server/src/raw',
  'node-client/src/http2',
];

const forbidden = [
  {
    name: 'no-circle',
    comment: 'files that import each other can only be read together',
    severity: 'error',
    from: { pathNot: ONE_UNIT },
    to: { circular: true },
  },
  {
    name: 'no-circle-at-run-time',
    comment: 'the files of one unit know the types of each other',
    severity: 'error',
    from: { path: ONE_UNIT },
    to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
  },
  {
    name: 'no-unresolved',
    severity: 'error',
    from: { path: '^packages/[^/]+/src' },
    // A module of the runtime of Workers.
    to: { couldNotResolve: true, pathNot: '^cloudflare:workers$' },
  },
  {
    name: 'pure-packages-know-no-node',
    severity: 'error',
    from: { path: `^packages/(${PURE})/src` },
    to: { dependencyTypes: ['core'] },
  },
  {
    name: 'only-the-node-part-of-fetch-knows-node',
    comment: 'a bundle for Workers would contain it',
    severity: 'error',
    from: { path: '^packages/fetch/src', pathNot: '^packages/fetch/src/node(/|\\.ts)' },
    to: { path: '^(packages/node-|packages/fetch/src/node(/|\\.ts))' },
  },
  {
    name: 'only-the-rooms-of-clients-know-rpc',
    comment: 'a Hub would contain it. The table of a follower imports nothing',
    severity: 'error',
    from: { path: '^packages/hub/src', pathNot: '^packages/hub/src/serve-rooms/' },
    to: {
      path: '^packages/(rpc/|hub/src/serve-rooms/)',
      pathNot: '^packages/rpc/src/following\\.ts$',
    },
  },
  {
    name: 'published-packages-depend-on-nothing-else',
    severity: 'error',
    from: { path: '^packages/[^/]+/src' },
    to: { path: 'node_modules', pathNot: '/@ws/' },
  },
  {
    name: 'relative-imports-stay-in-their-package',
    severity: 'error',
    from: { path: '^packages/([^/]+)/src' },
    to: { path: '^packages/', pathNot: '^packages/$1/src', dependencyTypes: ['local'] },
  },
  {
    name: 'no-import-of-the-own-index',
    severity: 'error',
    from: {
      path: '^packages/([^/]+)/src',
      pathNot: '^packages/[^/]+/src/(index|internal|cli)\\.ts$',
    },
    to: { path: '^packages/$1/src/(index|internal)\\.ts$' },
  },
  {
    name: 'examples-and-bench-use-public-names',
    severity: 'error',
    from: { path: '^(examples|bench)/' },
    to: {
      path: '^packages/[^/]+/src',
      pathNot:
        '^packages/([^/]+/src/((cluster|nats|raw|redis|rooms|serve-rooms|testing)/)?index|fetch/src/(bun|deno|node|workers))\\.ts$',
    },
  },
  {
    name: 'tests-and-fuzz-use-entry-points',
    comment:
      'rules.ts, states.ts, reader.ts and simd.ts are in no entry point: the first slows the decoder down in a shared chunk, the next two are the tables of a machine, the last is turned off in tests',
    severity: 'error',
    from: { path: '^(tests|fuzz)/' },
    to: {
      path: '^packages/[^/]+/src',
      pathNot:
        '^packages/([^/]+/src/((raw|rooms|serve-rooms|nats)/index|index|node|deno|internal|following)|(codec/src/(frames/rules|endpoint/states|masking/simd)|conn/src/connection/reader))\\.ts$',
    },
  },
  {
    name: 'conformance-shares-no-code',
    comment: 'it must not share our mistakes',
    severity: 'error',
    from: { path: '^conformance/src' },
    to: { path: '^packages/' },
  },
  ...ON_DEMAND.map((folder) => ({
    name: `door-of-${folder.replace('/src', '').replaceAll('/', '-')}`,
    comment: 'the rest of the package knows its types, and imports values from on-demand.ts',
    severity: 'error',
    from: { path: '^packages/[^/]+/src', pathNot: `^packages/${folder}/` },
    to: {
      path: `^packages/${folder}/`,
      pathNot: '/(index|on-demand)\\.ts$',
      dependencyTypesNot: ['type-only'],
    },
  })),
  ...Object.entries(PACKAGES).map(([name, below]) => ({
    name: `direction-of-${name}`,
    severity: 'error',
    from: { path: `^packages/${name}/src` },
    to: { path: '^packages/', pathNot: `^packages/(${[name, ...below].join('|')})/` },
  })),
  ...Object.entries(FLOORS).flatMap(([name, floors]) => floorRules(name, floors)),
];

/** The names of a row that `member` may not import. */
function strangers(floor, member) {
  const isUnit = floor.some((name) => UNITS.includes(name));
  return isUnit ? [] : floor.filter((other) => other !== member);
}

/** A floor imports lower floors only. */
function floorRules(name, floors) {
  const at = (names) => `^packages/${name}/src/(${names.join('|')})(/|\\.ts$)`;
  return floors.flatMap((floor, i) =>
    floor.map((member) => ({
      name: `floors-of-${name}-${member}`,
      severity: 'error',
      from: { path: at([member]) },
      to: { path: at([...strangers(floor, member), ...floors.slice(i + 1).flat()]) },
    })),
  );
}

export default {
  forbidden,
  options: {
    doNotFollow: { path: 'node_modules|/dist/' },
    exclude: { path: '/dist/|\\.d\\.ts$|tsup\\.config\\.bundled_' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@ws/source', 'import', 'node', 'default'],
      extensions: ['.ts', '.mjs', '.js', '.json'],
    },
  },
};
