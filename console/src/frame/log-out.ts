import { lodge } from '../api/lodge';
import { CHANNEL } from './channel';

/** Ends the session in this and every other tab. Drafts go with it: they were this person's. */
export async function logOut(): Promise<void> {
  const { location } = await lodge.logout();
  sessionStorage.clear();
  const channel = new BroadcastChannel(CHANNEL);
  channel.postMessage('out');
  channel.close();
  // The provider's own logout, if it has one, leads back here.
  window.location.assign(location);
}
