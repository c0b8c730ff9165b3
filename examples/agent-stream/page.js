import { ReconnectingConn } from '@ws/browser';
import { agent } from './agent.ts';

const words = agent.connect(new ReconnectingConn('/'), {}).ask('An agent repeats this. '.repeat(9));
document.querySelector('button').onclick = () => words.return?.();
for await (const word of words) document.querySelector('pre').append(word);
