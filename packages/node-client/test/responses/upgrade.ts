import { head, instead, open, type Row, refused, UP } from './row.ts';

// biome-ignore format: a table
export const upgrades: Row[] = [
  ['no header at all', head(), refused(101, 'no Upgrade header, no Connection header, no Sec-WebSocket-Accept header')],
  ['no Upgrade', instead('Upgrade'), refused(101, 'no Upgrade header')],
  ['an empty Upgrade', instead('Upgrade', 'Upgrade:'), refused(101, 'Upgrade is "", not websocket')],
  ['Upgrade to h2c', instead('Upgrade', 'Upgrade: h2c'), refused(101, 'Upgrade is "h2c", not websocket')],
  ['a longer word', instead('Upgrade', 'Upgrade: websockets'), refused(101, 'Upgrade is "websockets", not websocket')],
  ['a shorter word', instead('Upgrade', 'Upgrade: websocke'), refused(101, 'Upgrade is "websocke", not websocket')],
  ['a word in quotes', instead('Upgrade', 'Upgrade: "websocket"'), refused(101, 'Upgrade is ""websocket"", not websocket')],
  ['a version after it', instead('Upgrade', 'Upgrade: websocket/13'), refused(101, 'Upgrade is "websocket/13", not websocket')],
  ['two words without a comma', instead('Upgrade', 'Upgrade: h2c websocket'), refused(101, 'Upgrade is "h2c websocket", not websocket')],
  ['letters of another alphabet', instead('Upgrade', 'Upgrade: webs\xf8cket'), refused(101, 'Upgrade is "webs\\u00f8cket", not websocket')],
  ['two wrong lines', instead('Upgrade', 'Upgrade: a', 'Upgrade: b'), refused(101, 'more than one Upgrade header')],
  ['Upgrade in another case', instead('Upgrade', 'uPGRADE: WebSocket'), open],
  ['a list that has it', instead('Upgrade', 'Upgrade: h2c, websocket'), refused(101, 'Upgrade is "h2c, websocket", not websocket')],
  ['a list with empty elements', instead('Upgrade', 'Upgrade: ,, websocket ,'), refused(101, 'Upgrade is ",, websocket ,", not websocket')],
  ['the second of two lines', instead('Upgrade', 'Upgrade: h2c', 'Upgrade: websocket'), refused(101, 'more than one Upgrade header')],
  ['two lines alike', instead('Upgrade', UP, UP), refused(101, 'more than one Upgrade header')],
  ['an empty line beside it', instead('Upgrade', UP, 'Upgrade:'), refused(101, 'more than one Upgrade header')],
  ['no space after the colon', instead('Upgrade', 'Upgrade:websocket'), open],
  ['tabs and spaces around it', instead('Upgrade', 'Upgrade: \t websocket \t'), open],
];

// biome-ignore format: a table
export const connections: Row[] = [
  ['no Connection', instead('Connection'), refused(101, 'no Connection header')],
  ['an empty Connection', instead('Connection', 'Connection:'), refused(101, 'Connection is "", without upgrade')],
  ['close', instead('Connection', 'Connection: close'), refused(101, 'Connection is "close", without upgrade')],
  ['keep-alive', instead('Connection', 'Connection: keep-alive'), refused(101, 'Connection is "keep-alive", without upgrade')],
  ['a longer word', instead('Connection', 'Connection: upgraded'), refused(101, 'Connection is "upgraded", without upgrade')],
  ['two words without a comma', instead('Connection', 'Connection: keep-alive upgrade'), refused(101, 'Connection is "keep-alive upgrade", without upgrade')],
  ['the other’s word', instead('Connection', 'Connection: websocket'), refused(101, 'Connection is "websocket", without upgrade')],
  ['two wrong lines', instead('Connection', 'Connection: a', 'Connection: b'), refused(101, 'Connection is "a, b", without upgrade')],
  ['Proxy-Connection alone', instead('Connection', 'Proxy-Connection: Upgrade'), refused(101, 'no Connection header')],
  ['Connection in another case', instead('Connection', 'CONNECTION: upGRADE'), open],
  ['a list that has it', instead('Connection', 'Connection: keep-alive, Upgrade'), open],
  ['a list with close', instead('Connection', 'Connection: Upgrade, close'), open],
  ['a list with empty elements', instead('Connection', 'Connection: , ,Upgrade,'), open],
  ['the second of two lines', instead('Connection', 'Connection: keep-alive', 'Connection: Upgrade'), open],
  ['the first of two lines', instead('Connection', 'Connection: Upgrade', 'Connection: close'), open],
  ['spaces around it', instead('Connection', 'Connection:   Upgrade  '), open],
  ['a tab after it, which Node does not skip', instead('Connection', 'Connection: Upgrade\t'), open],
  ['a tab before it, which Node skips', instead('Connection', 'Connection: keep-alive,\tUpgrade'), open],
];
