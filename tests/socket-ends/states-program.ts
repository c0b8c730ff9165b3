// The servers of one kind, in a process without handlers of uncaught errors. Its parent names each state.
import process from 'node:process';
import { tryState } from './states.ts';

const [kind = ''] = process.argv.slice(2);
const warnings: string[] = [];
process.on('warning', ({ name, message }) => warnings.push(`${name}: ${message}`));

process.on('message', (state: string) => {
  void tryState(kind, state).then((faults) => process.send!({ ...faults, warnings }));
});
