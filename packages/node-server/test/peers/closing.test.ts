import { closingSuite, farewellSuite } from '@ws/testkit/peers';
import { serverStage } from './stage.ts';

closingSuite(serverStage);
farewellSuite(serverStage);
