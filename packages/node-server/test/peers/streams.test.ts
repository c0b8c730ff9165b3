import { cutSuite, streamSuite } from '@ws/testkit/peers';
import { serverStage } from './stage.ts';

streamSuite(serverStage);
cutSuite(serverStage);
