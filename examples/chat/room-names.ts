/** Number of messages in the history of a room. */
export const MAX_HISTORY = 50;

/** The room of the hub for messages, on all nodes, and the one for the people of this node. */
export const messagesOf = (room: string): string => `messages/${room}`;
export const peopleOf = (room: string): string => `people/${room}`;
