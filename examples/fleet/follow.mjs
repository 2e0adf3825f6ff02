// Follows tasks to their end: node follow.mjs TASK…, with LODGE_SERVER and LODGE_TOKEN set.
import { io } from 'socket.io-client';

const socket = io(process.env.LODGE_SERVER, { path: '/fleet/socket.io', auth: { token: process.env.LODGE_TOKEN } });
const open = new Set(process.argv.slice(2));
socket.on('connect_error', (error) => { console.error(error.message); process.exit(1); });
for (const task of open) {
  const room = `/tasks/${task}/state`;
  socket.on(room, ({ status, assigned_to: robot }) => {
    console.log(task, status, robot?.name ?? '');
    if (['completed', 'failed', 'canceled', 'killed'].includes(status)) open.delete(task);
    if (open.size === 0) socket.close();
  });
  socket.emit('subscribe', { room });
}
