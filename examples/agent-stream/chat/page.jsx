import { useChat } from '@ai-sdk/react';
import { ReconnectingConn } from '@ws/browser';
import { createRoot } from 'react-dom/client';
import { chat } from './chat.ts';
import { transportOf } from './transport.ts';

const transport = transportOf(chat.connect(new ReconnectingConn('/'), {}));

function Chat() {
  const { messages, sendMessage, stop, status } = useChat({ transport });
  const ask = (event) => {
    event.preventDefault();
    void sendMessage({ text: new FormData(event.target).get('text') });
  };
  return (
    <form onSubmit={ask}>
      {messages.map(({ id, parts }) => (
        <p key={id}>{parts.map(({ text }) => text)}</p>
      ))}
      <input name="text" defaultValue="What is this?" />
      <button type="submit">Ask</button>
      <button type="button" onClick={stop}>
        Stop
      </button>
      <output>{status}</output>
    </form>
  );
}

createRoot(document.querySelector('main')).render(<Chat />);
