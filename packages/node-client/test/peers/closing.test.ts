import { closingSuite, farewellSuite } from '@ws/testkit/peers';
import { clientStage } from './stage.ts';

closingSuite(clientStage);
farewellSuite(clientStage);
