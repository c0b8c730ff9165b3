import process from 'node:process';
import { Broker } from './broker.ts';
import { Link } from './link.ts';
import { contentOf, marked, type Reply } from './wire.ts';

/** The broker in this process, and the way to the broker of this process or of the primary. */
let broker: Broker | undefined;
let link: Link | undefined;

/** The broker of this process. Its own hubs use it too. */
export function localBroker(): Broker {
  return (broker ??= new Broker());
}

/** @returns Undefined in a process without a broker and without a primary. */
export function processLink(): Link | undefined {
  if (link !== undefined) return link;
  if (broker !== undefined) link = linkTo(broker);
  else if (process.send !== undefined) link = linkToPrimary();
  return link;
}

function linkTo(local: Broker): Link {
  const client = local.connect((batch, sent) => {
    queueMicrotask(() => link.take(batch));
    sent();
  });
  const link: Link = new Link((batch, sent) => {
    queueMicrotask(() => client.take(batch));
    sent();
  });
  return link;
}

function linkToPrimary(): Link {
  const link = new Link((batch, sent) => {
    process.send!(marked('@ws/hub', batch), undefined, undefined, sent);
  });
  process.on('message', (message) => {
    const replies = contentOf('@ws/hub', message) as readonly Reply[] | undefined;
    if (replies !== undefined) link.take(replies);
  });
  process.once('disconnect', () => link.ended(new Error('the primary has ended')));
  return link;
}
