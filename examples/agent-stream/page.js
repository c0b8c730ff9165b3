import { ReconnectingConn } from '@ws/browser';
import { agent } from './agent.ts';

const answer = agent.connect(new ReconnectingConn('/'), {}).ask('What is this?');
document.querySelector('button').onclick = () => answer.return?.();
for await (const word of answer) document.querySelector('pre').append(word);
