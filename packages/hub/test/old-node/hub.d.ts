export { Hub } from '@ws/hub';
