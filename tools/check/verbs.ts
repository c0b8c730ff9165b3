// One meaning a verb: the table of verbs in CONTRIBUTING.md. Fails for a member that is named by such a
// verb, in a type that is not in the list of those that mean it.
import { readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import ts from 'typescript';

const PACKAGES = ['conn', 'hub', 'node-io', 'node-server'];

/** The types with such a member. A number is a position, and no verb. */
const VERBS: Readonly<Record<string, string>> = {
  // Also of a server, a hub, a writer as in the Streams standard, an engine as in zlib; and the event.
  close: `RunningApp Conn Connection LiveConn LocalSession ListenersOf MessageWriter TransportSink
    Acceptor PendingWork RawUpgrader RunningServer ServerBase Upgrader
    Hub HubEvents Session Sessions Everywhere EverywhereCalls
    Backplane ClusterBackplane NatsBackplane ServerBackplane Shard WorkerBackplane
    ClusterApp BrokerClient RunningCluster WorkerPool
    Deflater Inflater HandleDeflater HandleInflater Internals PooledEngine SyncDeflater SyncInflater ZlibHandle`,
  destroy: `Machine Transport Http2Transport MemoryTransport SocketTransport StreamTransport
    Http2Sessions SessionGuard Connection Driver NodeRedis NodeRedisCluster
    Decompressor PerMessageDeflate`,
  drop: 'Batches PieceQueue MemoryBroker',
  hold: 'Cursor',
  own: 'BorrowedMessage WaitingMessage',
  pass: '',
  run: `Inbox YieldQueue TaskQueue Audience DeliverySource Limit HistoryReads MissedSends MemberEvents RoomStates
    ClusterBackplane Connection WorkerPool
    HandleInflater ZlibHandle HandlerRunner`,
  share: 'MissedParts',
  take: `MessageBlocks MessageReader PieceQueue Rate ReceiveCall Histories PartQueues Cursor
    Batches BrokerClient WorkerBackplane LinkedHub WriteBacklog EarlyBytes GatheredBytes`,
  // Called at the end of a turn of the event loop.
  turn: 'OwnMembers Presence PresenceLink MissedSends MemberEvents',
  // Of a sink: the peer has ended its side. Of a Duplex: as in Node.
  end: `Connection TransportSink Outbox ConnDuplex
    Transport Http2Transport MemoryTransport SocketTransport StreamTransport`,
  // Also of memory that several users share; `MemoryBroker` has it for tests of an application.
  release: `Rate ReferencedWrite WaitingMessage Http2Transport SocketTransport
    DeflaterPool EnginePool FreeEngines HistoryRing InflaterPool PrivateEngines StreamCompressor
    UnpooledInflaters MissedParts MemberLog RoomStates MemoryBroker`,
  // A backplane is started again after a start that has failed.
  start: `RunningApp Connection Transport Http2Transport MemoryTransport SocketTransport StreamTransport TransportDuplex
    Inbox Backplane BackplaneLink ClusterBackplane NatsBackplane ServerBackplane Nodes OtherNodes Cursor
    BrokerClient WorkerBackplane`,
};

for (const name of PACKAGES) {
  const source = `packages/${name}/src`;
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.ts')) check(`${source}/${file}`);
  }
}

function check(path: string): void {
  const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
  const visit = (node: ts.Node): void => {
    if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
      for (const member of node.members) judge(path, node.name!.text, member);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
}

function judge(path: string, type: string, member: ts.ClassElement | ts.TypeElement): void {
  const verb = member.name?.getText().replace('#', '') ?? '';
  if (!Object.hasOwn(VERBS, verb) || !isCalled(member)) return;
  if (VERBS[verb]!.split(/\s+/).includes(type)) return;
  const cure =
    'name it by what it does, or add the type to tools/check/verbs.ts if it means the same';
  console.log(`${path}: ${type}.${verb}: CONTRIBUTING.md says what \`${verb}\` means; ${cure}`);
  process.exitCode = 1;
}

function isCalled(member: ts.ClassElement | ts.TypeElement): boolean {
  if (ts.isMethodDeclaration(member) || ts.isMethodSignature(member)) return true;
  return /=>/.test(member.getText());
}
