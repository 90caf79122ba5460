// The screens of the shop.

import { order, orders } from './order.js';
import { shop } from './shop.js';
import { choreography } from './choreography.js';
import { route } from './router.js';

const main = document.getElementById('main');
route(main, {
  shop: () => shop(main),
  orders: (id, address) => (id ? order(main, id, address) : orders(main)),
  choreography: () => choreography(main),
}, 'shop');
