import {
  closingSuite,
  flowSuite,
  HTTP2,
  interruptedStreamSuite,
  messageSuite,
  rawClosingSuite,
  settingsSuite,
  streamSuite,
  valueSuite,
} from '@ws/tests/peers';
import { clientConnector } from './connector.ts';

for (const suite of [
  closingSuite,
  rawClosingSuite,
  messageSuite,
  valueSuite,
  settingsSuite,
  flowSuite,
  streamSuite,
  interruptedStreamSuite,
]) {
  suite(clientConnector, HTTP2);
}
